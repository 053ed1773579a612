// The geometry of a pose: 18 joints in OpenPose's order, each [x, y] in pixels of the image, or
// null if it is missing. Nothing here changes its arguments.

// The parent of each joint. The neck has none.
const PARENTS = [1, -1, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15];
// Limbs of two bones, by their end: a wrist or an ankle pulls the elbow or the knee along.
const TWO_BONES = { 4: [2, 3], 7: [5, 6], 10: [8, 9], 13: [11, 12] };

const minus = (a, b) => [a[0] - b[0], a[1] - b[1]];
const plus = (a, b) => [a[0] + b[0], a[1] + b[1]];
const times = (a, factor) => [a[0] * factor, a[1] * factor];
const length = (a) => Math.hypot(a[0], a[1]);
const round = (joint) => joint && joint.map((value) => Math.round(value * 1000) / 1000);

function direction(from, to, otherwise = [0, 1]) {
  const offset = minus(to, from);
  const distance = length(offset);
  return distance > 1e-6 ? times(offset, 1 / distance) : otherwise;
}

function descendants(joint) {
  const found = [];
  PARENTS.forEach((parent, child) => {
    if (parent === joint) found.push(child, ...descendants(child));
  });
  return found;
}

function translated(joints, indices, offset) {
  return joints.map((joint, index) =>
    joint && indices.includes(index) ? plus(joint, offset) : joint);
}

// Bend a limb of two bones so that its end comes as near to a point as its bones reach. The elbow
// or knee stays on the side on which it is.
function bent(joints, end, point) {
  const [root, middle] = TWO_BONES[end];
  const [start, bend, tip] = [joints[root], joints[middle], joints[end]];
  const upper = length(minus(bend, start));
  const lower = length(minus(tip, bend));
  const reach = length(minus(point, start));
  const distance = Math.min(Math.max(reach, Math.abs(upper - lower)), upper + lower);
  const along = direction(start, point, direction(start, tip));
  const foot = distance > 1e-6
    ? (upper * upper - lower * lower + distance * distance) / (2 * distance) : 0;
  const height = Math.sqrt(Math.max(0, upper * upper - foot * foot));
  const [dx, dy] = minus(bend, start);
  const [ex, ey] = minus(tip, start);
  const side = ex * dy - ey * dx < 0 ? -1 : 1;
  const moved = joints.slice();
  moved[middle] = plus(start, plus(times(along, foot),
    times([-along[1], along[0]], side * height)));
  moved[end] = plus(start, times(along, distance));
  return moved;
}

// Move a joint towards a point. If limbs keep their lengths, it turns about its parent, and
// its descendants move with it; a wrist or an ankle bends its limb, and the neck moves the whole
// body. Otherwise the joint alone moves, freely.
export function moveJoint(joints, index, point, keepLengths) {
  if (!joints[index] || !keepLengths) {
    return joints.map((joint, i) => round(i === index ? point : joint));
  }
  const limb = TWO_BONES[index];
  if (limb && limb.every((joint) => joints[joint])) {
    return bent(joints, index, point).map(round);
  }
  const parent = joints[PARENTS[index]];
  let goal = point;
  if (parent) {
    const bone = length(minus(joints[index], parent));
    goal = plus(parent, times(direction(parent, point, direction(parent, joints[index])), bone));
  }
  const offset = minus(goal, joints[index]);
  return translated(joints, [index, ...descendants(index)], offset).map(round);
}

export function hide(joints, index) {
  return joints.map((joint, i) => (i === index ? null : joint));
}

// Where each joint is relative to its anchor: its nearest ancestor that is not missing.
export function offsets(joints) {
  return joints.map((joint, index) => joint && minus(joint, anchor(joints, index) || [0, 0]));
}

function anchor(joints, index) {
  let at = PARENTS[index];
  while (at >= 0 && !joints[at]) at = PARENTS[at];
  return at >= 0 ? joints[at] : null;
}

// Show a missing joint, where it was relative to its anchor, or else a little below that.
export function show(joints, index, offset, size) {
  const from = anchor(joints, index);
  const place = from ? plus(from, offset || [0, size[1] / 16]) : offset || times(size, 0.5);
  return joints.map((joint, i) => (i === index ? round(place) : joint));
}

// The joint nearest to a point, or -1 if none is within a distance.
export function nearest(joints, point, within) {
  const distances = joints.map((joint) => (joint ? length(minus(joint, point)) : Infinity));
  const index = distances.indexOf(Math.min(...distances));
  return distances[index] <= within ? index : -1;
}

export function mirror(joints, mirrored, width) {
  return mirrored.map((index) =>
    joints[index] && round([width - 1 - joints[index][0], joints[index][1]]));
}

// What can be undone and done again.
export class History {
  constructor(first) {
    this.states = [first];
    this.position = 0;
  }

  get current() {
    return this.states[this.position];
  }

  push(state) {
    if (JSON.stringify(state) === JSON.stringify(this.current)) return;
    this.states.splice(this.position + 1, Infinity, state);
    this.states = this.states.slice(-500);
    this.position = this.states.length - 1;
  }

  undo() {
    this.position = Math.max(0, this.position - 1);
    return this.current;
  }

  redo() {
    this.position = Math.min(this.states.length - 1, this.position + 1);
    return this.current;
  }

  get canUndo() {
    return this.position > 0;
  }

  get canRedo() {
    return this.position < this.states.length - 1;
  }
}
