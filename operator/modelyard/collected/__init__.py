"""The rows that data collection wrote into a store: their files, their content, and their deletion."""
