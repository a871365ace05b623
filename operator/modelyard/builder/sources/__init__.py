"""Sources of models and assets. Modules are imported one by one: installers of packages need a few only."""
