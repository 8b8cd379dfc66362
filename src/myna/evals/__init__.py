"""How good nano is: held-out questions, put to any service as users put them, and graded."""
