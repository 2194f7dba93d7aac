"""What runs teach: rules that draw lessons, scores that recall them, and the test of what contradicts what."""
