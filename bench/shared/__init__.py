"""Results that several machines and people share, at any address that fsspec knows.

    <address>/bench.json              says that this is such a store
    <address>/cells/<key>.json        a record, the very bytes of the local one; the first one stays
    <address>/blobs/<sha256>          a file that a cell made, by its content
    <address>/partial/<key>/<name>    half-done work, where nodes have no file system in common

A record is put after its files, so that one that is there is whole. What is read is untrusted.
"""
