"""Access to S3, Google Storage and Azure Blob Storage, for builds and for data collection.

credentials  the keys of a Secret, or the identity of a pod, as options of the library
connection   opens a bucket, and reads the errors of the library
"""
