"""The scoring runtime: serves one driver file over HTTP inside an image.

An image has this package beside the driver's own packages. Therefore the package imports nothing but uvloop,
httptools and, of modelyard, backoff.py. It runs as two kinds of process:

    clients --HTTP/1.1--> front process, one                      worker process, one or more

                          front/  http_connection, http_parser,
                                  http_response, router,
                                  request_ids, cors, keys,
                                  metrics, telemetry, docs_page
                                  score_endpoint
                                  request_queue
                          pool/   spawn --- starts -------------> worker/  start, main
                                  process - socket (frames) ----> channel  requests in
                                        <-- socket (frames) ----           replies out
                                        <-- shared memory ------           PROGRESS: what each thread runs
                                        --- lifeline ---------->           no data, closes with the front
                                        --- SIGTERM ----------->           exit, if init() still runs
                                        --- SIGUSR1 ----------->           print all stacks, then
                                        --- SIGKILL ----------->           the end of a stuck run()
                                                                  driver, inputs, results, hints, openapi

The front (uvloop, httptools) never runs code of the driver. A worker has the driver and, of this package,
modules that need the standard library only. The front starts the workers first (__main__), so that they load
the driver while the front loads its server. The ends of a container:

    SIGTERM, SIGINT  the front drains (server), then closes the channels: workers run exit handlers and end
    the front ends   the kernel closes the lifelines: each worker gets SIGIO, and ends
    a worker ends    the front answers its running requests with 500, queues the others again, starts a worker

Shared modules: contract (names and numbers that the operator and the builder use, too), settings, frames,
logs. On a laptop `modelyard serve` (serve, reloader) starts the same front. docs/scoring.md has reasons and
figures.
"""
