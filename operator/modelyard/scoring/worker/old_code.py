"""Advice for drivers and models of 2017 that Python 3.11 and present packages cannot run.

Each rule has the type of an exception, a pattern of its message, and a sentence that says what to change. A
sentence may contain groups of the pattern, as `{0}`.
"""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

from modelyard.scoring.contract import Variable


class _Rule(NamedTuple):
    exceptions: tuple[type[BaseException], ...]
    pattern: str
    advice: str


_MISSING: Final = (ImportError, AttributeError)
_MODEL: Final = (
    "train the model again, or load it with the old version and save it with the one that the driver requires"
)

_RULES: Final = (
    # numpy
    _Rule(
        (AttributeError,),
        r"module 'numpy' has no attribute '(float|int|bool|object|str|complex)'",
        "numpy 1.24 removed numpy.{0}: write {0}, or a dtype such as numpy.float64",
    ),
    _Rule(
        (AttributeError,),
        r"`np\.(\w+)` was removed in the NumPy 2",
        "numpy 2 removed numpy.{0}: use the name in the message, or add numpy<2 to pipRequirements",
    ),
    _Rule(
        (ImportError,),
        r"No module named 'numpy\._core",
        "the model was pickled with numpy 2, and numpy 1 is installed: add numpy>=2 to pipRequirements",
    ),
    _Rule(
        (ImportError, ValueError, RuntimeError),
        r"compiled using NumPy 1\.x|numpy\.dtype size changed|numpy\.core\.multiarray failed to import",
        "a package was compiled for another numpy: require newer versions of the packages, or add numpy<2 to "
        "pipRequirements",
    ),
    # scikit-learn
    _Rule(
        (ImportError,),
        r"sklearn\.externals(?:\.joblib|').*|cannot import name 'joblib' from 'sklearn",
        "scikit-learn 0.23 removed sklearn.externals.joblib: write `import joblib`",
    ),
    _Rule(
        (ImportError,),
        r"No module named 'sklearn\.(cross_validation|grid_search|learning_curve)'",
        "scikit-learn 0.20 removed sklearn.{0}: use sklearn.model_selection",
    ),
    _Rule(
        (ImportError,),
        r"cannot import name '(Imputer)' from 'sklearn",
        "scikit-learn 0.22 removed Imputer: use sklearn.impute.SimpleImputer",
    ),
    _Rule(
        (ImportError,),
        r"No module named 'sklearn\.(\w+\.[a-z]\w*)'",
        f"the model was pickled with a scikit-learn that has sklearn.{{0}}: {_MODEL}",
    ),
    _Rule(
        (ValueError,),
        r"node array from the pickle has an incompatible dtype",
        f"the model was pickled with another scikit-learn: {_MODEL}",
    ),
    _Rule(
        (AttributeError,),
        r"'(\w+)' object has no attribute '(?:multi_class|monotonic_cst|_n_features|n_features_in_|estimator|"
        r"_fit_X|_sparse|missing_values|_impurity|classes|n_features_)'",
        f"if the model {{0}} was pickled with another scikit-learn: {_MODEL}",
    ),
    # pandas
    _Rule(
        (ImportError,),
        r"No module named '(pandas\.(?:core\.indexes\.numeric|core\.index|indexes|tslib|types)[\w.]*)'",
        f"the model was pickled with a pandas that has {{0}}: {_MODEL}",
    ),
    _Rule(
        (AttributeError,),
        r"'(?:DataFrame|Series)' object has no attribute '(ix|append|as_matrix|get_value|iteritems)'",
        "pandas removed {0}: use .loc or .iloc for ix, pandas.concat for append, to_numpy() for as_matrix, "
        ".at for get_value, items() for iteritems",
    ),
    _Rule(
        (*_MISSING,),
        r"pandas(?:\.io\.json)?' (?:\(.*\) )?.*'?(Panel|json_normalize)|'(json_normalize)' from 'pandas",
        "pandas moved json_normalize to pandas.json_normalize, and removed Panel",
    ),
    # the standard library
    _Rule(
        _MISSING,
        r"(?:module 'collections' has no attribute|cannot import name) '(Mapping|MutableMapping|Sequence|"
        r"MutableSequence|Iterable|Iterator|Callable|Hashable|Set|MutableSet|Sized|Container)'",
        "Python 3.10 moved collections.{0} to collections.abc.{0}; if a package imports it, require a newer "
        "version of the package",
    ),
    _Rule(
        _MISSING,
        r"module 'inspect' has no attribute 'getargspec'|cannot import name 'getargspec'",
        "Python 3.11 removed inspect.getargspec: use inspect.getfullargspec",
    ),
    _Rule(
        (AttributeError,),
        r"'time' has no attribute 'clock'",
        "Python 3.8 removed time.clock: use time.perf_counter",
    ),
    _Rule(
        _MISSING,
        r"'fractions'.*'gcd'|'gcd' from 'fractions'",
        "Python 3.9 removed fractions.gcd: use math.gcd",
    ),
    _Rule(
        (AttributeError,),
        r"'base64' has no attribute '(en|de)codestring'",
        "Python 3.9 removed base64.{0}codestring: use base64.{0}codebytes",
    ),
    _Rule(
        (TypeError,),
        r"__init__\(\) got an unexpected keyword argument 'encoding'",
        "Python 3.9 removed `encoding` of json.loads: leave it out",
    ),
    _Rule(
        (ImportError,),
        r"No module named '(imp|distutils|asyncore|asynchat|smtpd)'",
        "Python 3.12 removed the module {0}: use importlib or setuptools, or set pythonVersion to 3.11",
    ),
    _Rule(
        (ImportError,),
        r"No module named '(cgi|cgitb|crypt|imghdr|pipes|sndhdr|telnetlib|uu|xdrlib|audioop|chunk|aifc)'",
        "Python 3.13 removed the module {0}: set pythonVersion to 3.12 or 3.11",
    ),
    _Rule(
        (ImportError,),
        r"No module named '(?:pkg_resources|setuptools)'",
        "Python 3.12 has no setuptools: add setuptools<82 to pipRequirements",
    ),
    _Rule(
        (ImportError,),
        r"No module named '(urllib2|urlparse|cPickle|StringIO|ConfigParser|Queue|__builtin__|httplib)'",
        "{0} is a module of Python 2: convert the driver to Python 3",
    ),
    _Rule(
        (AttributeError,),
        r"'dict' object has no attribute '(iteritems|itervalues|iterkeys|has_key)'",
        "dict.{0} is Python 2: use items(), values(), keys() or `in`",
    ),
    _Rule(
        (NameError,),
        r"name '(unicode|xrange|raw_input|unichr|basestring|reduce|long)' is not defined",
        "{0} is Python 2: convert the driver to Python 3",
    ),
    _Rule(
        (SyntaxError,),
        r"Missing parentheses in call to|exception types must be parenthesized|leading zeros in decimal",
        "the file is written for Python 2: convert it to Python 3",
    ),
    _Rule(
        (UnicodeDecodeError,),
        r"'ascii' codec can't decode byte",
        "a pickle of Python 2 needs pickle.load(file, encoding='latin1')",
    ),
    # other packages
    _Rule(
        (ImportError,),
        r"No module named 'azureml\.|cannot import name '\w+' from 'azureml",
        "the runtime has a part of azureml only: add the package to pipRequirements, such as azureml-core",
    ),
    _Rule(
        (AttributeError,),
        r"module 'tensorflow' has no attribute '(Session|placeholder|get_default_graph)'",
        "TensorFlow 2 removed tensorflow.{0}: use tensorflow.compat.v1.{0}",
    ),
    _Rule(
        (ImportError,),
        r"No module named '(inference_schema|joblib|dateutil|pytz|six)'",
        "add {0} to pipRequirements (dateutil is python-dateutil, inference_schema is inference-schema)",
    ),
)


def advice(error: BaseException) -> str | None:
    """Return what to change in an old driver that raises this error, None for other errors."""
    if isinstance(error, SyntaxError) and re.search(r"\b(async|await)\b", error.text or ""):
        return "Python 3.7 made `async` and `await` keywords: rename them, or require a newer package"
    if isinstance(error, FileNotFoundError):
        return _advice_on_model(error)
    message = str(error)
    for rule in _RULES:
        match = re.search(rule.pattern, message) if isinstance(error, rule.exceptions) else None
        if match:
            return rule.advice.format(*match.groups())
    return None


def _advice_on_model(error: FileNotFoundError) -> str | None:
    """Return where a model is that the driver opens by its name: images have it in the working directory."""
    folder = os.environ.get(Variable.MODEL_DIR)
    name = Path(os.fsdecode(error.filename)).name if isinstance(error.filename, (str, bytes)) else ""
    if not folder or not name or not (Path(folder) / name).exists():
        return None
    return (
        f"the model is {folder}/{name}: `modelyard serve` has models by their names only if they are beside "
        f"the driver"
    )


def with_advice(message: str, error: BaseException) -> str:
    """Return the message, with advice if there is some."""
    found = advice(error)
    return f"{message}: {found}" if found else message
