# On a fresh machine every target needs Python 3.11 or later and nothing else: each makes, once, what it needs.

INVENTORY ?= inventory.example
# Passed on to ansible-playbook, such as ARGS='--limit web1 -K'
ARGS ?=

# A fresh machine often names a locale it has not generated; Ansible refuses to start there.
export LC_ALL := C.UTF-8
# Found by its path, Ansible reads it also in a world-writable checkout.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

PLAYBOOK = .venv/bin/ansible-playbook -i $(INVENTORY)
RUN_TESTS = .venv/bin/python scripts/run_tests.py

.PHONY: help site check verify test test-unit test-diagnosis test-scenario lint env test-env variables lock clean

help:
	@echo 'make site                          deploy the inventory: $(INVENTORY)'
	@echo 'make check                         say what `make site` would change'
	@echo 'make verify                        prove a deployed site, change nothing'
	@echo 'make test                          everything, from lint to Molecule scenarios'
	@echo 'make test-scenario SCENARIO=site   one Molecule scenario'
	@echo 'make test-unit                     unit tests of the checkout'
	@echo 'make test-diagnosis                other people'"'"'s hosts, healthy and broken, diagnosed'
	@echo 'make lint                          static checks'
	@echo 'make env, make test-env            only the control environment, in .venv'
	@echo 'make variables                     write the tables of variables of README.md'
	@echo 'make lock                          refresh requirements/*.txt (needs uv)'
	@echo 'make clean                         remove what the other targets made in the checkout'

site: env
	$(PLAYBOOK) playbooks/site.yml $(ARGS)

check: env
	$(PLAYBOOK) playbooks/site.yml --check --diff $(ARGS)

verify: env
	$(PLAYBOOK) playbooks/verify.yml $(ARGS)

test: test-env
	@$(RUN_TESTS) all

test-scenario: test-env
	@$(RUN_TESTS) scenario $(SCENARIO)

test-unit: test-env
	@$(RUN_TESTS) unit

test-diagnosis: test-env
	@$(RUN_TESTS) diagnosis

lint: test-env
	@$(RUN_TESTS) lint

env:
	@sh scripts/python scripts/control_env.py site

test-env:
	@sh scripts/python scripts/control_env.py test

variables: test-env
	.venv/bin/python scripts/write_variables.py

lock:
	sh scripts/lock

clean:
	rm -rf .venv .ansible .build
