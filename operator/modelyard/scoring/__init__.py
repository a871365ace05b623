"""The scoring runtime: serves one driver file over HTTP inside an image.

It is installed alone, beside the driver's own packages, and so imports nothing of the rest of modelyard and
nothing but uvicorn, uvloop and httptools. How the parts hang together:

    __main__    reads the settings, wires the parts, leaves with the exit code
    server      uvicorn with our start (serve first, then init) and our end (drain)
    protocol    HTTP/1.1 as uvicorn has it, but deaf to offers of h2c
    app         which path and method go where
    score       /score: admission, what run() gets, what becomes of its result
    exchange    one HTTP request and its answer: bodies, ids, early refusals
    driver      the user's file: load, init(), run()
    workers     the threads in which the driver runs, and the queue before them
    keys        who may score
    lifecycle   initialising, ready, draining: what the others ask
"""
