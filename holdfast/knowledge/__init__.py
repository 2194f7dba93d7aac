"""What is known and how it is found: reading documents, cutting, scoring, and turning runbooks into plans."""
