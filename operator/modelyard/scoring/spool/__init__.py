"""The spool of data collection: files between the scoring container and the collector beside it.

    front, workers ──append──▶ front-1764468000-00000007.open ──rename──▶ ….segment ──read──▶ collector

A writer is one process. It holds a lock (flock) on its open file, so that a reader knows an open file whose
writer has ended. A frame survives the end of its writer as soon as write(2) has returned. Numbers of frames
grow by one over all files of a writer: a reader counts a gap as lost. Each segment ends with the sums of its
writer (counts). A driver can write into the folder, too, so that readers bound and check each byte.

    batch           records in the bytes of a frame; batch_reader for the collector
    record          a scored request, or the data that a driver collects
    counts          the sums of a writer
    declared        the columns that a driver declares, before the records that have them
    frame           the bytes of a numbered record
    folder          names, sizes and locks of the files
    segment_writer  one thread appends batches of frames
    spool_writer    a bounded queue, and the thread behind it
    reader          the frames of a file

Standard library only, but for the two readers: images carry this package, and the collector imports it.
"""
