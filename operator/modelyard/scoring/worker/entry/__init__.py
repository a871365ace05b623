"""A folder of the sys.path of drivers: it has one module, entry_module."""
