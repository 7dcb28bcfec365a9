"""A database in which the names of every example in every ``--help`` exist, made with the command line itself."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.dsgctl.commands.running import Process, Quick, execute

ROOT = "720575940623636701"
COMMANDS = f"""
user add ada@example.org --name 'Ada Lovelace' --affiliation HHMI
user add root@example.org --admin
user add bo@example.org --name 'Bo Ek'
user add old@example.org
group add lab-1
group member add lab-1 ada@example.org
dataset add fish2 --description 'Zebrafish brain'
dataset add fly --public
dataset version add fish2 v1.2 --public --ordinal 2
dataset location add fly gs://old-data
bucket set old-data --project lab-project
dataset location remove fly gs://old-data -y
dataset location add fish2 gs://lab-data/fish2/
dataset location add fish2 gs://lab-data/fish2/ --version v1.2
service-account add nightly-export --description 'exports synapses'
grant add fish2 view --group lab-1
grant add fish2 edit --user ada@example.org
grant add fish2 view --service-account nightly-export
grant add fly view --user bo@example.org
grant add fish2 view --user bo@example.org --version v1.2 --expires 20d --scope lab-1
service add clio --display-name Clio --url https://clio.example.org
service add neuprint
service add dvid
service set dvid --mode dag
service translation add neuprint pisces fish2 --name-version r1 --version v1.2
service translation add neuprint hemibrain fish2
grant add fly view --service-account nightly-export --service clio
service table add datastack fish2_v1 fish2
service root add datastack fish2_v1 {ROOT}
user add lee@example.org
client add atlas --origin https://lab.github.io --owner lee@example.org
client add viewer --origin https://viewer.example.org --owner lee@example.org --app-url https://data.example.org
client disable viewer
terms add 'General terms' --file fish2.md
terms add 'Clio terms' --file fish2.md --dataset fly --service clio
terms add 'Fly terms' --file fish2.md --dataset fly
token mint --user ada@example.org --expires 90d
token mint --user old@example.org
user disable old@example.org
"""
TOKENS = 20  # more, so that there is one of id 17 and an audit record 42


@dataclass(frozen=True)
class World:
    """A filled database, a directory with the files of the examples, and both ways to run ``dsgctl`` on them."""

    database: Path
    directory: Path
    token: str  # valid, of the service account nightly-export

    @property
    def run(self) -> Process:
        return Process(self.directory, self.database)

    @property
    def quick(self) -> Quick:
        return Quick(self.directory, self.database)


def make_files(directory: Path, token: str) -> None:
    """The files that most commands read."""
    (directory / "fish2.md").write_text("# Terms\n\nBe kind to fish.\n")
    (directory / "people.csv").write_text("email,name,affiliation,notes\ncy@example.org,Cy,HHMI,\n")
    (directory / "token.txt").write_text(token + "\n")
    (directory / "commands.txt").write_text("user list\n")
    (directory / "policy.yaml").write_text("name: example\ngroups:\n  lab-1: {}\n")


def build(directory: Path, database: Path) -> str:
    """Fill a migrated database. Returns a good token, of nightly-export."""
    make_files(directory, "")
    quick = Quick(directory, database)
    for command in COMMANDS.strip().splitlines():
        quick(*shlex.split(command)).ok()
    secret = ""
    for _ in range(TOKENS):
        secret = quick("token", "mint", "--service-account", "nightly-export", "-o", "value").ok().out.strip()
    execute(database, "PRAGMA wal_checkpoint(TRUNCATE)")
    return secret
