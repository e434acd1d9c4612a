"""Records what the package `minigrid` does, for the tests of the `envs` crate.

Run from the repository's root; it writes `envs/tests/data/minigrid*.txt`, the same bytes with the same versions:

    python3 -m venv .venv
    .venv/bin/pip install minigrid==3.2.0 gymnasium==1.4.0 numpy==2.4.6
    .venv/bin/python scripts/minigrid_trajectories.py

`minigrid.txt` has an episode per line: the task, its layout, the actions, and what followed. Observations are hashed
(FNV-1a over object, colour and state of the 49 cells, then the direction): two hexadecimal digits for each, the first
one included, so that a failure can be placed, and 64 bits over all of them, so that it cannot be missed. Rewards are 0
and nothing ends before the last step, which the script checks; the last step's reward and ends are written out.

`minigrid_views.txt` has some of the observations in full, and `minigrid_layouts.txt` how often each kind of layout
occurs; features of more than 256 classes are counted in 64 buckets of a hash, ~0 to ~63. Cells are written as two letters, as `envs/src/minigrid/cell.rs` says.
"""

import collections
import copy
import pathlib
import random
import warnings

import gymnasium
import minigrid
import numpy as np
from minigrid.core import world_object
from minigrid.core.constants import COLOR_NAMES
from minigrid.core.grid import Grid
from minigrid.core.mission import MissionSpace
from minigrid.minigrid_env import MiniGridEnv

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "envs" / "tests" / "data"
KINDS = {"wall": "#", "floor": "F", "key": "K", "ball": "B", "box": "X", "goal": "G", "lava": "V"}
COLORS = {"red": "r", "green": "g", "blue": "b", "purple": "p", "yellow": "y", "grey": "a"}
LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)

TASKS = [f"MiniGrid-DoorKey-{n}x{n}-v0" for n in (16, 5, 6, 8)]
TASKS += [f"MiniGrid-Empty-{n}x{n}-v0" for n in (16, 5, 6, 8)]
TASKS += [f"MiniGrid-Empty-Random-{n}x{n}-v0" for n in (5, 6)]
TASKS += ["MiniGrid-Fetch-5x5-N2-v0", "MiniGrid-Fetch-6x6-N2-v0", "MiniGrid-Fetch-8x8-N3-v0"]
TASKS += [f"MiniGrid-GoToDoor-{n}x{n}-v0" for n in (5, 6, 8)]
TASKS += ["MiniGrid-Unlock-v0"]

# Of each task: at most so many episodes, and no further one after so many steps.
EPISODES, STEPS = 100, 3000
SANDBOXES, SANDBOX_STEPS = 150, 150
# Of each task, observations written in full.
FULL = 20
LAYOUTS = 20_000


def fnv(data, value=0xCBF29CE484222325):
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def folded(value):
    """64 bits to 8."""
    value ^= value >> 32
    value ^= value >> 16
    return (value ^ value >> 8) & 0xFF


def cell_text(cell):
    if cell is None:
        return ".."
    if cell.type == "wall" and cell.color == "grey":
        return "##"
    if cell.type == "door":
        kind = "O" if cell.is_open else "L" if cell.is_locked else "D"
    else:
        kind = KINDS[cell.type]
    return kind + COLORS[cell.color]


def map_text(env):
    rows = ("".join(cell_text(env.grid.get(x, y)) for x in range(env.width)) for y in range(env.height))
    return "/".join(rows)


def boxes_text(env):
    """What is in boxes, as x,y,cell."""
    cells = ((x, y, env.grid.get(x, y)) for y in range(env.height) for x in range(env.width))
    return " ".join(f"{x},{y},{cell_text(c.contains)}" for x, y, c in cells if c and c.contains) or "-"


def target_text(env):
    if hasattr(env, "target_pos"):
        return "{},{}".format(*env.target_pos)
    if hasattr(env, "door"):
        return "{},{}".format(*env.door.cur_pos)
    return "-"


def front(env):
    x, y = (int(value) for value in env.front_pos)
    return (x, y), env.grid.get(x, y)


def way(env, arrived):
    """The first action of a shortest way to a pose, () when already there, None when there is none."""
    start = (int(env.agent_pos[0]), int(env.agent_pos[1]), int(env.agent_dir))
    first = {start: ()}
    queue = collections.deque([start])
    while queue:
        pose = queue.popleft()
        x, y, direction = pose
        dx, dy = [(1, 0), (0, 1), (-1, 0), (0, -1)][direction]
        if arrived((x, y), (x + dx, y + dy)):
            return first[pose]
        nexts = [(LEFT, (x, y, (direction + 3) % 4)), (RIGHT, (x, y, (direction + 1) % 4))]
        ahead = env.grid.get(x + dx, y + dy)
        if ahead is None or ahead.can_overlap() and ahead.type != "lava":
            nexts.append((FORWARD, (x + dx, y + dy, direction)))
        for action, following in nexts:
            if following not in first:
                first[following] = first[pose] or (action,)
                queue.append(following)
    return None


def skilled(env):
    """A good action, or None where the task is not understood."""
    cells = {(x, y): env.grid.get(x, y) for x in range(env.width) for y in range(env.height)}

    def find(kind, color=None):
        return [p for p, c in cells.items() if c and c.type == kind and color in (None, c.color)]

    def face(places, action):
        step = way(env, lambda here, ahead: ahead in places)
        return action if step == () else step[0] if step else None

    if hasattr(env, "target_pos"):
        tx, ty = env.target_pos
        step = way(env, lambda here, ahead: abs(here[0] - tx) + abs(here[1] - ty) == 1)
        return DONE if step == () else step[0] if step else None
    if hasattr(env, "targetType"):
        return face(find(env.targetType, env.targetColor), PICKUP)
    for door in find("door"):
        if not cells[door].is_open:
            if cells[door].is_locked and not env.carrying:
                return face(find("key"), PICKUP)
            return face([door], TOGGLE)
    step = way(env, lambda here, ahead: here in find("goal"))
    return step[0] if step else None


class Sandbox(MiniGridEnv):
    """Everything that there is, anywhere."""

    def __init__(self, seed, see_through_walls):
        self.random = random.Random(seed)
        width, height = self.random.randint(4, 12), self.random.randint(4, 12)
        mission_space = MissionSpace(mission_func=lambda: "play")
        super().__init__(
            mission_space,
            width=width,
            height=height,
            max_steps=SANDBOX_STEPS,
            see_through_walls=see_through_walls,
        )

    def _gen_grid(self, width, height):
        draw = self.random
        self.grid = Grid(width, height)
        self.grid.wall_rect(0, 0, width, height)
        objects = ["wall", "floor", "door", "key", "ball", "box", "door", "key", "wall", "wall"]
        filled = draw.choice([0.1, 0.3, 0.5, 0.6])
        for y in range(1, height - 1):
            for x in range(1, width - 1):
                if draw.random() < filled:
                    self.grid.set(x, y, self.thing(draw.choice(objects)))
                elif draw.random() < 0.01:
                    self.grid.set(x, y, self.thing(draw.choice(["goal", "lava"])))
        free = [(x, y) for x in range(width) for y in range(height) if self.grid.get(x, y) is None]
        if not free:
            free = [(1, 1)]
            self.grid.set(1, 1, None)
        self.agent_pos = draw.choice(free)
        self.agent_dir = draw.randrange(4)
        self.mission = "play"

    def thing(self, kind):
        draw = self.random
        color = draw.choice(COLOR_NAMES)
        if kind == "door":
            state = draw.randrange(3)
            return world_object.Door(color, is_open=state == 0, is_locked=state == 2)
        if kind == "box":
            inside = draw.choice([None, "key", "ball", "door", "floor", "box", "wall"])
            return world_object.Box(color, self.thing_inside(inside) if inside else None)
        if kind == "wall":
            return world_object.Wall(draw.choice(["grey", "grey", color]))
        if kind == "lava":
            return world_object.Lava()
        return {"floor": world_object.Floor, "key": world_object.Key, "ball": world_object.Ball}.get(
            kind, world_object.Goal
        )(color)

    def thing_inside(self, kind):
        return world_object.Box(self.random.choice(COLOR_NAMES)) if kind == "box" else self.thing(kind)


def tinker(env, draw):
    """Uses what is ahead, often; puts down what it carries, sometimes."""
    (_, cell), chance = front(env), draw.random()
    if cell is None and env.carrying and chance < 0.15:
        return DROP
    if cell is not None and cell.can_pickup() and chance < 0.3:
        return PICKUP
    if cell is not None and cell.type in ("door", "box") and chance < 0.6:
        return TOGGLE
    if cell is not None and cell.type in ("goal", "lava") and chance < 0.9:
        return draw.choice([LEFT, RIGHT])
    return draw.choices(range(7), [20, 20, 45, 5, 4, 5, 1])[0]


def sample(env, draw):
    ends_easily = hasattr(env, "target_pos")
    return draw.choices(range(7), [20, 20, 40, 6, 6, 1, 1] if ends_easily else [20, 20, 35, 8, 5, 8, 4])[0]


class Recorder:
    def __init__(self):
        self.episodes, self.views, self.summary = [], [], collections.Counter()

    def play(self, name, env, policy, full=0):
        env = env.unwrapped
        grid = map_text(env)
        x, y = (int(value) for value in env.agent_pos)
        fields = [name, grid, boxes_text(env), f"{x},{y},{int(env.agent_dir)}", target_text(env), env.mission]
        mission = env.mission
        actions, marks, total = "", "", fnv(b"")

        def see(observation):
            nonlocal marks, total
            assert observation["mission"] == mission
            image = observation["image"]
            assert image.shape == (7, 7, 3) and image.dtype == np.uint8
            data = image.tobytes() + bytes([int(observation["direction"])])
            marks += f"{folded(fnv(data)):02x}"
            total = fnv(data, total)
            if len(marks) // 2 <= full:
                digits = "".join(f"{value:x}" for value in data)
                self.views.append([str(len(self.episodes)), str(len(marks) // 2 - 1), digits])

        see(env.gen_obs())
        while True:
            action = policy(env)
            carried, cell = env.carrying, front(env)[1]
            opened = cell is not None and cell.type == "door" and cell.is_open
            observation, reward, terminated, truncated, _ = env.step(action)
            actions += str(action)
            see(observation)
            now_open = cell is not None and cell.type == "door" and cell.is_open
            self.summary["doors opened"] += now_open and not opened
            self.summary["things taken"] += carried is None and env.carrying is not None
            self.summary["things dropped"] += carried is not None and env.carrying is None
            self.summary["steps"] += 1
            if terminated or truncated:
                break
            assert reward == 0
        self.summary["successes"] += reward > 0
        self.summary["truncations"] += truncated
        self.summary["both ends"] += terminated and truncated
        fields += [actions, marks, f"{total:016x}", repr(float(reward)), str(int(terminated)), str(int(truncated))]
        self.episodes.append(fields)
        return len(actions)


def plan(env):
    """The skilled actions from here to the end."""
    env, actions = copy.deepcopy(env.unwrapped), []
    while True:
        actions.append(skilled(env))
        if any(env.step(actions[-1])[2:4]):
            return actions


def record_task(recorder, name):
    env = gymnasium.make(name).unwrapped
    draw = random.Random(name)
    steps = 0
    for episode in range(EPISODES):
        env.reset(seed=episode)
        clumsy = [1.0, 0.3, 0.5, 0.1, 0.0, 0.8][episode % 6]
        if episode in (6, 7):
            # Success in the very last step, and one step too late.
            actions = plan(env)
            actions = [DROP] * (env.max_steps - len(actions) + episode - 6) + actions

            def policy(env, actions=iter(actions)):
                return next(actions)

        else:

            def policy(env, clumsy=clumsy):
                action = None if draw.random() < clumsy else skilled(env)
                return sample(env, draw) if action is None else action

        steps += recorder.play(name, env, policy, full=FULL if episode == 1 else 0)
        if steps >= STEPS and episode >= 12:
            break


def record_sandboxes(recorder):
    for seed in range(SANDBOXES):
        sees = seed % 4 == 0
        env = Sandbox(seed, sees)
        env.reset(seed=seed)
        draw = random.Random(seed)
        name = "Sandbox-clear" if sees else "Sandbox"
        recorder.play(name, env, lambda env, draw=draw: tinker(env, draw), full=FULL if seed < 8 else 0)


def features(grid, x, y, direction, mission):
    """What is counted about a layout; envs/tests/minigrid.rs has the same."""
    rows = [[row[i : i + 2] for i in range(0, len(row), 2)] for row in grid.split("/")]
    cells = [cell for row in rows for cell in row]
    things = [i for i, cell in enumerate(cells) if cell not in ("..", "##") and cell[0] != "G"]
    dx, dy = [(1, 0), (0, 1), (-1, 0), (0, -1)][direction]
    ahead = rows[y + dy][x + dx][0]
    place = divmod(things[0], len(rows[0])) if things else (0, 0)
    yield "agent", f"{x},{y},{direction}"
    yield "mission", mission
    yield "kinds", "".join(cell[0] for cell in cells)
    yield "colours", "".join(cells[i][1] for i in things)
    yield "ahead", f"{ahead}{place[1] - x},{place[0] - y}"
    yield "all", f"{grid},{x},{y},{direction},{mission}"


def record_layouts():
    lines = []
    for name in TASKS:
        if "16x16" in name or name.startswith("MiniGrid-Empty") and "Random" not in name:
            continue
        env = gymnasium.make(name).unwrapped
        env.reset(seed=1)
        counts = collections.defaultdict(collections.Counter)
        for _ in range(LAYOUTS):
            # What `reset` does, without the observation.
            env.agent_pos, env.agent_dir = (-1, -1), -1
            env._gen_grid(env.width, env.height)
            x, y = (int(value) for value in env.agent_pos)
            for feature, value in features(map_text(env), x, y, int(env.agent_dir), env.mission):
                counts[feature][value] += 1
        for feature, classes in counts.items():
            if len(classes) > 256:
                hashed = collections.Counter()
                for value, count in classes.items():
                    hashed[f"~{folded(fnv(value.encode())) % 64}"] += count
                classes = hashed
            if len(classes) > 1:
                lines.append([name, feature, *(f"{value}={classes[value]}" for value in sorted(classes))])
    return lines


def write(name, comment, rows):
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / name
    with path.open("w", newline="\n") as file:
        versions = f"minigrid {minigrid.__version__}, gymnasium {gymnasium.__version__}, numpy {np.__version__}"
        file.write(f"# {versions}; scripts/minigrid_trajectories.py\n# {comment}\n")
        file.writelines("\t".join(row) + "\n" for row in rows)
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size} bytes")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message=".*out of date.*")
    recorder = Recorder()
    for task in TASKS:
        record_task(recorder, task)
    record_sandboxes(recorder)
    print(dict(recorder.summary))
    write(
        "minigrid.txt",
        "task, layout, boxes, agent, target, mission, actions, marks, hash, last reward, terminated, truncated",
        recorder.episodes,
    )
    write("minigrid_views.txt", "episode, observation, object colour state of 49 cells and direction", recorder.views)
    write("minigrid_layouts.txt", f"task, feature, class=count in {LAYOUTS} layouts ...", record_layouts())
