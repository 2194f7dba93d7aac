"""The guardian: reads an action into facts, asks the rules, and answers with a verdict. Knows no database and no model."""
