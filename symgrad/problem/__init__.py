"""The question made definite: arguments, shapes, domains, points, and the replay that guards the record."""
