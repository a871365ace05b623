"""The scoring runtime: serves one driver file over HTTP inside an image.

An image has this package beside the driver's own packages. Therefore the package imports nothing but uvloop,
httptools and, of modelyard, backoff.py. It runs as two kinds of process:

    clients ──HTTP/1.1──▶ │ front process, one            │                      │ worker process, one or more

                          │ front/ http_connection        │                      │ worker/ start, main
                          │        http_parser            │                      │
                          │        http_response, router  │                      │
                          │        request_ids, cors      │                      │
                          │        keys, metrics, errors  │                      │
                          │        telemetry, docs_page   │                      │
                          │        score_endpoint         │                      │
                          │        inference_endpoint     │                      │
                          │        request_queue          │                      │
                          │        response_stream        │                      │
                          │        content_coding         │                      │
                          │        coding_tasks           │                      │
                          │        packed_requests        │                      │
                          │        packed_responses       │                      │
                          │        collection             │ ── files: records ─▶ │ (the side-car of the pod)
                          │ pool/  spawn, worker_stream   │ ──── starts ───────▶ │
                          │        process                │ ─ socket: frames ──▶ │ channel: requests in
                          │                               │ ◀─ socket: frames ── │          replies out
                          │                               │ ◀─ shared memory ─── │          PROGRESS
                          │                               │ ── shared memory ──▶ │          FLOW, of streams
                          │                               │ ──── lifeline ─────▶ │ closes when the front ends
                          │                               │ ──── SIGTERM ──────▶ │ exit, if init() still runs
                          │                               │ ──── SIGUSR1 ──────▶ │ print all stacks
                          │                               │ ──── SIGKILL ──────▶ │ the end of a stuck run()
                          │                               │                      │ driver, inputs, results,
                          │                               │                      │ streams, tensors; of async
                          │                               │                      │ drivers: async_server

The front (uvloop, httptools) never runs code of the driver. A worker has the driver and, of this package,
modules that need the standard library only. For some drivers it loads werkzeug (bundled_packages) or msgspec
(msgspec_core) from the runtime's folder. The front starts the workers first (__main__), so that they load the
driver while the front loads its server. The ends of a container:

    SIGTERM, SIGINT  The front drains (server), then closes the channels. Workers run their exit handlers.
    the front ends   The kernel closes the lifelines. Each worker gets SIGIO, and ends.
    a worker ends    Its running requests get 500, its others are queued again, and a new worker starts.

Shared modules: contract (names and numbers that the operator and the builder use, too), settings, frames,
logs, and spool. The files of the spool are data collection's; the side-car in the pod reads them. On a laptop
`modelyard serve` (serve, reloader) starts the same front. docs/scoring.md has reasons and figures.
"""
