"""The worker process: the driver in its own interpreter, with nothing but the standard library beside it.

start       the process: paths, channel, init(), serve, end
channel     requests in, replies out
driver      the user's file: load, init(), what run() takes
inputs      from a request to the arguments of run()
results     from what run() returned to an answer
hints       type hints of run() as schema and conversion
decorated   the same from inference_schema's decorators
openapi     the description of the service
old_imports, aml_request, aml_response      what drivers import from Azure ML's packages
"""
