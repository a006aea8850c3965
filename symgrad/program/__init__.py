"""What everything is made of: Step, Program, Builder, and the exact derivative, which is more steps."""
