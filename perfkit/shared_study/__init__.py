"""HOW SEVERAL WORKERS SHARE A STUDY: a folder that all of them see, and nothing else.

::

    shared-study.json                  the plan: arguments of the call, and its work units
    records-unit-KEY.jsonl             all records of a finished unit, created in one step
    sharing/KEY-N.lease                the N-th worker that took the unit, and its sign of life
    sharing/KEY.given-up               a unit that cost too many workers
    sharing/units/KEY.json             a unit that a worker found as it went
    sharing/workers/NAME.json          a worker and where it runs; NAME.end: why it ended;
                                       NAME.shift: how long it has been at work
    sharing/jobs/NAME.json             the jobs of one submission
    sharing/cancelled                  no further unit is begun

A worker takes an open unit, runs it, commits its records, and takes the next one until no unit is
open. In a growing study, e.g. a tuning, the units follow from the records: each worker computes
them anew before it takes the next one. A worker never deletes or renames what others read. All
decisions are made by creating a file that must not exist (``link``), which file servers decide for
all hosts, unlike ``flock``:

* *A lease is taken* by creating the file of the next number. The highest number holds the unit.
  The holder changes a counter in its file, in place. A unit is free if its newest lease was
  released, or if a worker has seen no change of the counter for ``lease_s`` seconds of its own
  clock: clocks of different hosts are not compared.
* *A unit is finished* by creating its file of records. A holder that was suspended, and whose
  unit was finished by another worker meanwhile, fails to create it and drops its records. Each unit
  therefore has its records exactly once.
* *A unit is one block*: a candidate and its control in turns, on one node. A killed worker loses
  this block at most, and no ratio is formed between nodes.

NFS clients cache attributes and names for up to a minute. The counter is read through a newly
opened file, which NFS revalidates. A name that a client does not see yet costs time, never a
record: the creation of the file decides.
"""
