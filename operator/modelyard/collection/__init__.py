"""The side-car that takes the records of a replica from the spool, and delivers them to its sinks.

    spool (scoring/spool) ──▶ segments ──▶ batch ──▶ row ──▶ sink: storage, event hub
                                             ▲
                                          journal

Each sink has a thread and a journal of its own, so that a sink that is down stops no other one. The names of
a batch's segments are in the journal before the sink gets the batch. So a process that is killed delivers the
same rows under the same name again. A segment is deleted when all sinks have it.

    supervisor   PID 1: starts the collecting process again, forwards signals
    process      the collecting process: one pump for each sink, HTTP server
    pump         one sink: next batch, delivery, acknowledgement
    journal      the batch, the cursors and the counters of one sink
    segments     complete files of the spool, and which of them is next
    batch        rows of some segments
    columns      the columns that a driver declares, and their values
    row          a record as the readers of storage and event hub see it
    destination  the namespace's Secret and the platform's defaults
    sink         the interface of storage and event hub
"""
