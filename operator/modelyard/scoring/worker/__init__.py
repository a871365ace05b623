"""The worker process: the driver in its own interpreter, with nothing but the standard library beside it.

start, main       the process: paths, signals, channel, threads, end
channel           requests in, replies out
driver            the user's file: import, init(), parameters of run()
inputs            from a request to the arguments of run()
results           from the result of run() to a reply
json_values       the result as JSON
hints             type hints of run() as JSON schema and as conversion
inference_schema  the same from inference_schema's decorators
openapi           the OpenAPI documents of the service
driver_logs       the driver's logging.json
log_config        classes that a logging.json names
spark             the Spark session of SparkPython drivers
legacy_imports, aml_request, aml_response      modules of Azure ML's packages that drivers import
azureml           packages of Azure ML of 2017 to 2020, and changes of the installed ones
api_errors        exceptions by which drivers of 2017 choose the status of the response
old_code          advice for code of 2017 that present Python cannot run
wsgi              the request as a WSGI environment, and Flask's context of a call
entry             the module that child processes of the driver import
bundled_packages  werkzeug, for drivers that have none of their own
"""
