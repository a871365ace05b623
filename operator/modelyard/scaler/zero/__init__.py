"""The decision between no replica and one: idle Services go to 0, and the activator answers for them."""
