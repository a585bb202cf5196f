"""How things look to a person: numbers, tables, short reprs, hints at what was meant."""
