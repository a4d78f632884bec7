"""Runs llama.cpp's HTTP server with a model file until it is ended; prints where it listens.

Usage: engine.py MODEL
"""

import signal
import sys

import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path = sys.argv[1]
parameters.hostnames = ["127.0.0.1"]
parameters.port = 0
parameters.n_ctx = 4 * 4096
parameters.n_parallel = 4
parameters.model_alias = {"tiny"}
server = xllamacpp.Server(parameters)
print("listening", server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
