"""The trainer: PyTorch Lightning behind pluto's protocols, with optimizers, schedules, loggers and callbacks."""
