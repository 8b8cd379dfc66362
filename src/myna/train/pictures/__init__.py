"""Pictures that nano learns from: icons by name, scenes, lines of text, clips."""
