"""`dptn bench`: how fast this machine is.

`measure` times inference, decoding, encoding and the whole pipeline of one provider; `compare`
runs all providers and arithmetics that work here on the same batches.
"""
