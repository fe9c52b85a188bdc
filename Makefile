# Every target sets up .venv by itself; nothing else is needed than Python 3.11 to 3.13 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := .peers

.PHONY: demo test test-slow lint peers bench-known-poses bench-backprojection bench-streaming bench-demo bench-fast-engine bench-kernels bench-large-motions bench-scaling bench-abinitio bench-moments bench-pose-search bench-unknown-poses bench-unknown-poses-paper bench-real-refinement bench-optics bench-pose-differences docs-figures test-triton clean bench-amortised bench-inference bench-many-images bench-encoder-tables bench-hybrid bench-likelihood-free

PLAY := stages=1,band_start=0.29,band_end=1,march_end=0.2,still=0.1,cooling=0.8,average=0.998,frame_price=1000,update.learning_rate=1e-2
GAME ?= multi-cryogan:volume=voxel-modes,critic=dense,turns=8000,batch_size=64,$(PLAY),conformation.shared=8
STATES ?= multi-cryogan:volume=voxel-modes,critic=dense,turns=5000,batch_size=256,$(PLAY),conformation.shared=32
METHODS ?= ppca-abinitio classify-abinitio:classes=12,starts=0,apart_starts=1,search_passes=3,kept=6 cryodrgn2:z_dim=2
PAPER_METHODS := cryodrgn-bnb:z_dim=2 classify-abinitio:classes=3

# make demo: simulate a molecule that moves, reconstruct it, and write a report.
demo: $(VENV)/.ready
	$(BIN)/hypermol demo -o demo

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.ready-test
	$(BIN)/python -m pytest -m slow --timeout=3600

# The GPU kernels without a GPU: Triton's interpreter, and compilation to machine code. triton is 190 MB: not in test.
test-triton: $(VENV)/.ready-test
	$(BIN)/python -c "import triton" 2>/dev/null || $(BIN)/pip install --quiet triton==3.7.1
	TRITON_INTERPRET=1 $(BIN)/python -m pytest tests/kernels

lint: $(VENV)/.ready-lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# torch first and pinned: anything looser can pull gigabytes of GPU libraries.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

$(VENV)/.ready-lint: $(VENV)/.ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[lint]"
	touch $@

# Races; each writes a file under benchmarks/results/. bench-known-poses takes hours and goes on where it was stopped.
bench-known-poses: $(VENV)/.ready peers
	$(BIN)/python -m hypermol.benchmarks.known_poses

bench-backprojection: $(VENV)/.ready peers
	$(BIN)/python -m hypermol.benchmarks.backprojection

bench-demo: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.demo

bench-fast-engine: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.fast_engine

bench-abinitio: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.ab_initio

# The start by moments beside random ones: ten seeds, on centred images of 32 px.
bench-moments: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.moments_start

# Tables 2, S3 and S4 of Zhong et al. 2020, 5,000 images each; goes on where it stopped.
bench-unknown-poses: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.unknown_poses --methods $(METHODS)
	$(BIN)/python -m hypermol.benchmarks.unknown_poses --methods $(METHODS) --tilts
	$(BIN)/python -m hypermol.benchmarks.unknown_poses --methods $(METHODS) --noisy

# The paper's size, 50,000 images or pairs, beside cryoDRGN's own program; for a GPU. Goes on where it stopped.
PAPER := $(BIN)/python -m hypermol.benchmarks.unknown_poses --resume --out benchmarks/results/unknown-poses-paper.json
bench-unknown-poses-paper: $(VENV)/.ready peers
	$(PAPER) -n 50000 --methods $(METHODS) $(PAPER_METHODS) cryodrgn-abinit_het_old:zdim=2
	$(PAPER) -n 50000 --sets discrete10 --methods cryodrgn-bnb:z_dim=10 cryodrgn-abinit_het_old:zdim=10
	$(PAPER) -n 100000 --methods $(METHODS) $(PAPER_METHODS) --tilts
	$(PAPER) -n 50000 --methods $(METHODS) $(PAPER_METHODS) cryodrgn-abinit_het_old:zdim=2 --noisy

bench-pose-search: $(VENV)/.ready peers
	$(BIN)/python -m hypermol.benchmarks.pose_search

bench-real-refinement: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.real_refinement

bench-optics: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.optics_refinement

bench-pose-differences: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.pose_differences

# Hours on two cores; goes on where it stopped.
bench-amortised: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.amortised

# The paper's size: for a GPU. Every job goes on where it stopped.
bench-encoder-tables: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.encoder_tables

# Half an hour of a core.
bench-many-images: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.many_images

# One seed of the rigid problem and of both motions, and the methods that find poses beside them; goes on where it stopped.
# The published setting, on a GPU: --problems hsp90 hsp90-25-75 --tier paper --methods multi-cryogan:turns=20000 --seeds 0 1 2
bench-likelihood-free: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.likelihood_free --problems rigid --methods cryogan:turns=2000 abinitio:shift_range=0 \
		cryodrgn2:z_dim=0,pose.shift_range=0,phases.1.turns=4,phases.2.turns=1,phases.2.passes=2,epochs=3
	$(BIN)/python -m hypermol.benchmarks.likelihood_free --problems two-states hinge --methods $(GAME) \
		ppca-abinitio:z_dim=1,poses.images=6000,poses.shift_range=0 \
		cryodrgn2:z_dim=1,pose.shift_range=0,phases.1.turns=4,phases.2.turns=2,phases.2.passes=3,epochs=6
	$(BIN)/python -m hypermol.benchmarks.likelihood_free --problems two-states --methods $(STATES) classify-abinitio:classes=2,shift_range=0

bench-kernels: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.grid_kernels

bench-scaling: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.scaling

bench-large-motions: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.large_motions

# The pictures of docs/how-to-read-the-figures.md, from the first seed of the fast engine's benchmark.
docs-figures: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.fast_engine --seeds 0 --particles 1 --work .bench/docs-figures --out .bench/docs-figures/figures.json
	$(BIN)/python -m hypermol.benchmarks.reading_figures .bench/docs-figures/n10000-d64-seed0/auto --truth .bench/docs-figures/n10000-d64-seed0/data

# The search near an encoder's answers beside the full search; --run RUN takes the answers of a trained encoder.
bench-hybrid: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.hybrid

# What `hypermol infer` costs per image as images become more; a million on a GPU: --sizes 10000 1000000 --device cuda.
bench-inference: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.inference_scaling

bench-streaming: $(VENV)/.ready
	$(BIN)/python -m hypermol.benchmarks.streaming

# The programs that we are compared with, in environments of their own.
peers: $(PEERS)/cryodrgn/.ready

$(PEERS)/cryodrgn/.ready:
	$(PYTHON) -m venv $(PEERS)/cryodrgn
	$(PEERS)/cryodrgn/bin/pip install --quiet torch==2.13.0
	$(PEERS)/cryodrgn/bin/pip install --quiet cryodrgn==4.3.1
	touch $@

clean:
	rm -rf $(VENV) $(PEERS) build .bench demo
