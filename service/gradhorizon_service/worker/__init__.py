"""The mathematics: numpy, scipy and the standard library only; no HTTP, JSON, settings or clock."""
