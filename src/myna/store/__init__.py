"""What is kept of conversations, and the files they hold: SQLite, and files named by their hash.

`history.History` is the door. A message that was acknowledged survives a killed process, a cut of
power and a full disk. Not here: models, servers, what a message means.
"""
