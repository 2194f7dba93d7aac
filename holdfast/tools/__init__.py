"""Tools: declared with types, kept in versions, called with bounds."""
