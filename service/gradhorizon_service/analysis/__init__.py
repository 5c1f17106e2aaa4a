"""Request to worker to report: the one place where wire types and mathematics meet."""
