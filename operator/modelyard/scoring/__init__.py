"""The scoring runtime: serves one driver file over HTTP inside an image.

It is installed alone, beside the driver's own packages, and so imports nothing of the rest of modelyard and
nothing but uvloop and httptools. It is two kinds of process: the front, which speaks HTTP and never runs code
of the driver, and the workers, which have the driver and nothing but the standard library beside it.
The parts of the front, in the order in which a request passes them:

    connection  HTTP/1.1 of one client, with limits for all that a client may do
    site        which path and method go where; what all connections share
    ids, cors   header lines of the answer that come from the request
    keys        who may score
    score       /score: admission, what goes to the workers, what becomes of their replies
    dispatcher  the queue: who runs when, who waited too long, who ran too long; restarts
    spawn       starting a worker process
    process     one worker process: requests and replies, progress, end
    frames      the messages between front and worker
    worker/     what runs in the worker process

Beside them: settings, messages (a request and an answer), lifecycle, server (start and drain), metrics,
telemetry, docs_page, logs; __main__ wires them. docs/scoring.md says why it is built so, with figures.
"""
