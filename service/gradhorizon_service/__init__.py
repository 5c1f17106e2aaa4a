"""The Gradhorizon service: numeric worker, analysis and HTTP interface."""
