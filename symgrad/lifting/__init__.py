"""What the user has, as a formula that can be run at a point."""
