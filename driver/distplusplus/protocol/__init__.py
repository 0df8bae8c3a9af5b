"""The distplusplus protocol: its messages (`distplusplus_pb2`), methods, compression and refusals.

docs/protocol.md describes it in full. Nothing here does I/O.
"""
