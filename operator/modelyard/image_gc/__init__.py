"""`modelyard images`: what is in the registry, who needs it, and the removal of what nobody needs."""
