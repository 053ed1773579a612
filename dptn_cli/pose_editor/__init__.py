"""The page of `dptn pose`: draw a target pose, and see the person in it."""
