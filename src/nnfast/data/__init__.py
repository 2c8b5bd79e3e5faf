"""What users have becomes what the engine takes: arrays, tables, and what is wrong with others."""
