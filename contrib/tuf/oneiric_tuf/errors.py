"""Errors of python-tuf as those of a stream: each with the word for its rule, and never anything else."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

from oneiric_hookspecs import Code, FetchError, Malformed, RemoteError, VerifyError

# python-tuf says only in words how many keys signed, and that a file is one of another role.
_NOBODY = re.compile(r" was signed by 0/")
_OTHER = re.compile(r"Expected '\w+', got '\w+'")


@contextlib.contextmanager
def told(last: list[str]) -> Iterator[None]:
    """In this block, whatever goes wrong is a RemoteError.

    Args:
        last: The path of each file that was read, the newest at the end; while that is a root, what fails is the
            rotation of keys.
    Raises:
        VerifyError: What came is not to be believed.
        Malformed: What came is no metadata.
        FetchError: Something is not there.
        RemoteError: The files of this machine fail.
    """
    from tuf.api import exceptions

    try:
        yield
    except RemoteError:
        raise
    except exceptions.DownloadError as error:
        raise _absent(error, last) from error
    except exceptions.RepositoryError as error:
        raise _disbelieved(error, last) from error
    except OSError as error:
        raise RemoteError(f"the files of TUF: {error.strerror or error}") from error
    except Exception as error:
        # The bytes are anybody's: whatever they bring the library to is an answer to them.
        said = f"{type(error).__name__}: {_line(error)}"
        raise VerifyError(f"python-tuf failed at {_where(last)}: {said}", code="plugin-error") from error


def _disbelieved(error: Exception, last: list[str]) -> RemoteError:
    from tuf.api import exceptions

    where, said = _where(last), _line(error)
    message = f"{where}: {said}"
    code: Code
    if isinstance(error, exceptions.ExpiredMetadataError):
        return VerifyError(said or message, code="expired")
    if where.endswith(".root.json"):
        return VerifyError(
            message,
            code="keyring-rejected",
            hint="the next root is signed by a threshold of the one before it, and of its own",
        )
    if isinstance(error, exceptions.UnsignedMetadataError):
        code = "signature" if _NOBODY.search(said) else "threshold"
    elif isinstance(error, exceptions.BadVersionNumberError):
        code = "rollback"
    elif isinstance(error, exceptions.LengthOrHashMismatchError):
        code = "digest"
    elif _OTHER.search(said):
        code = "wrong-type"
    else:
        return Malformed(message)
    return VerifyError(message, code=code)


def _absent(error: Exception, last: list[str]) -> RemoteError:
    where = _where(last)
    if where == "metadata/timestamp.json":
        return FetchError(
            f"there is no {where} at the stream's address", hint="nothing was published there yet"
        )
    return FetchError(f"{where} was signed, and is not there", hint="it may not be published yet")


def _where(last: list[str]) -> str:
    return last[-1] if last else "what is kept"


def _line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else ""
