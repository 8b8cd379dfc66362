"""From a folder or a file to a service that answers: load, prepare, run, parse."""
