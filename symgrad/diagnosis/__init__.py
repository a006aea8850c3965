"""Which line is wrong by itself, why, and what to write instead."""
