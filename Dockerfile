# The benchmark on CPUs, as the tests know it: every version is that of constraints.txt.
# Untested: it was written where no Docker could be run.
#   docker build -t seqgan-bench .
#   docker run --rm -v "$PWD/mine:/home/bench/mine" --user "$(id -u):$(id -g)" seqgan-bench run --models all --output mine
FROM python:3.11-slim-bookworm

# numba and matplotlib write caches beside the home folder; any user may (docker run --user).
ENV HOME=/home/bench \
    MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba \
    OMP_NUM_THREADS=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

WORKDIR /src
COPY constraints.txt ./
# First and alone, so that a change of the code does not load it again. This index has builds without CUDA.
RUN python -m pip install --index-url https://download.pytorch.org/whl/cpu --extra-index-url https://pypi.org/simple \
        -c constraints.txt torch
COPY pyproject.toml README.md LICENSE ./
COPY bench ./bench
COPY baselines ./baselines
COPY seqgan ./seqgan
RUN python -m pip install -c constraints.txt '.[tune]' && rm -rf /src/*

RUN useradd --create-home --home-dir /home/bench --uid 1000 bench && chmod 1777 /home/bench
USER bench
WORKDIR /home/bench
ENTRYPOINT ["bench"]
CMD ["--help"]
