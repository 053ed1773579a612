// The page: shows the source, the pose that is drawn, and the image of the newest pose.

import {
  History, hide, mirror, moveJoint, nearest, offsets, show,
} from "./skeleton.js";

const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);
const GRASP = 5; // units around a joint in which it is grasped
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

let state; // what the server says of the person and of poses
let history; // the poses that were drawn
let joints; // the pose that is shown, while it is dragged too
let lastOffsets = []; // where hidden joints were, relative to their anchors
let savedPose; // the pose that was saved last, or the first one
let dragged = null; // the joint and the pointer that drags it

async function ask(action, body) {
  const response = await fetch(action, { method: "POST", body }).catch(() => {
    throw new Error("the server does not answer; is dptn pose still running?");
  });
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.error || `the server answered ${response.status}`);
  }
  return response;
}

const poseRequest = (more = {}) =>
  JSON.stringify({ joints, retarget: $("scale").checked ? "scale" : "none", ...more });

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  setAll(made, attributes);
  made.append(...children);
  return made;
}

function say(text, failed = false) {
  $("status").textContent = text;
  $("status").classList.toggle("failed", failed);
}

function setProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = !text;
}

// ---- The result: one image at a time, and next that of the newest pose.

let isGenerating = false;
let isOutdated = false;
let shownUrl = "";

async function generate() {
  if (state.model_problem) return;
  isOutdated = true;
  if (isGenerating) return;
  isGenerating = true;
  $("result-pane").setAttribute("aria-busy", true);
  while (isOutdated) {
    isOutdated = false;
    try {
      const response = await ask("generate", poseRequest());
      const url = URL.createObjectURL(await response.blob());
      $("result").src = url;
      $("result").hidden = false;
      if (shownUrl) URL.revokeObjectURL(shownUrl);
      shownUrl = url;
      $("time").textContent = `· ${response.headers.get("X-Milliseconds")} ms`;
      setProblem("");
    } catch (error) {
      setProblem(`This pose could not be generated: ${error.message}`);
    }
  }
  isGenerating = false;
  $("result-pane").setAttribute("aria-busy", false);
}

// ---- Drawing. The elements are made once and then moved, so that the focus and a finger stay on
// them.

// The unit of what is drawn: about a hundredth of the person's height.
function unit() {
  const ys = state.source_pose.filter(Boolean).map((joint) => joint[1]);
  const side = Math.max(state.width, state.height);
  return Math.min(Math.max((Math.max(...ys) - Math.min(...ys)) / 90, side / 400), side / 110);
}

const handleOf = (index) => $("target").querySelector(`[data-joint="${index}"]`);

function background() {
  return element("image", {
    href: "source.jpg", width: state.width, height: state.height, preserveAspectRatio: "none",
  });
}

function makeLimbs() {
  return state.limbs.map((_, number) => element("line", {
    class: "limb", stroke: state.colours[number], "stroke-width": unit(),
  }));
}

function placeLimbs(svg, pose) {
  svg.querySelectorAll(".limb").forEach((line, number) => {
    const [from, to] = state.limbs[number].map((index) => pose[index]);
    setShown(line, from && to);
    if (from && to) {
      setAll(line, { x1: from[0] + 0.5, y1: from[1] + 0.5, x2: to[0] + 0.5, y2: to[1] + 0.5 });
    }
  });
}

function setAll(node, attributes) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
}

function setShown(node, isShown) {
  if (isShown) node.removeAttribute("display");
  else node.setAttribute("display", "none");
}

function makeHandle(index) {
  const circle = (name, radius, more = {}) =>
    element("circle", { class: name, r: unit() * radius, ...more });
  return element("g", {
    class: "joint", tabindex: 0, role: "img", "aria-label": state.joints[index],
    "data-joint": index,
  },
  element("title", {}, state.joints[index]),
  circle("touch", GRASP),
  circle("ring", 3, { "stroke-width": unit() * 0.7 }),
  circle("dot", 1.8, { fill: state.colours[index], "stroke-width": unit() * 0.4 }));
}

function describe(index) {
  const [x, y] = joints[index].map(Math.round);
  return `${state.joints[index]}, ${x} across, ${y} down`;
}

function makeDrawings() {
  const dots = state.source_pose.flatMap((joint, index) => (joint
    ? [element("circle", {
      cx: joint[0] + 0.5, cy: joint[1] + 0.5, r: unit() * 1.1, fill: state.colours[index],
    })] : []));
  $("source").append(background(), ...makeLimbs(), ...dots);
  placeLimbs($("source"), state.source_pose);
  const handles = state.joints.map((_, index) => makeHandle(index));
  $("target").append(background(), ...makeLimbs(), ...handles);
}

function draw() {
  setShown($("target").querySelector("image"), $("behind").checked);
  placeLimbs($("target"), joints);
  joints.forEach((joint, index) => {
    const handle = handleOf(index);
    setShown(handle, joint);
    if (!joint) return;
    for (const circle of handle.querySelectorAll("circle")) {
      setAll(circle, { cx: joint[0] + 0.5, cy: joint[1] + 0.5 });
    }
  });
  if (!dragged) showAll();
  $("undo").disabled = !history.canUndo;
  $("redo").disabled = !history.canRedo;
  for (const box of $("joints").querySelectorAll("input")) {
    box.checked = Boolean(joints[box.value]);
  }
}

// Make the target's drawing as large as the image and the joints that are outside it.
function showAll() {
  const edge = unit() * 4;
  const present = joints.filter(Boolean);
  const side = (axis, size) => {
    const values = present.map((joint) => joint[axis]);
    const low = Math.min(0, ...values.map((value) => value - edge));
    return [low, Math.max(size, ...values.map((value) => value + edge)) - low];
  };
  const [left, width] = side(0, state.width);
  const [top, height] = side(1, state.height);
  $("target").setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
}

function set(pose, remember = true) {
  offsets(pose).forEach((offset, index) => { if (offset) lastOffsets[index] = offset; });
  joints = pose;
  if (remember) history.push(pose);
  draw();
  generate();
}

// ---- Dragging, with mouse, pen and touch.

function pointOf(event) {
  const { x, y } = new DOMPoint(event.clientX, event.clientY)
    .matrixTransform($("target").getScreenCTM().inverse());
  return [x - 0.5, y - 0.5];
}

// A joint may leave the image, but not go so far that it cannot be found again.
function reachable([x, y]) {
  const within = (value, size) => Math.min(Math.max(value, -size / 2), 1.5 * size);
  return [within(x, state.width), within(y, state.height)];
}

function addDragging() {
  const svg = $("target");
  svg.addEventListener("pointerdown", (event) => {
    if (dragged || event.button !== 0) return;
    const point = pointOf(event);
    const index = nearest(joints, point, unit() * GRASP);
    if (index < 0) return;
    event.preventDefault();
    const offset = [joints[index][0] - point[0], joints[index][1] - point[1]];
    dragged = { index, offset, pointer: event.pointerId };
    svg.setPointerCapture(event.pointerId);
    handleOf(index).focus({ preventScroll: true });
  });
  svg.addEventListener("pointermove", (event) => {
    if (event.pointerId !== dragged?.pointer) return;
    const { index, offset } = dragged;
    const point = pointOf(event);
    const goal = reachable([point[0] + offset[0], point[1] + offset[1]]);
    set(moveJoint(history.current, index, goal, keeps(event)), false);
  });
  const end = (event) => {
    if (event.pointerId !== dragged?.pointer) return;
    dragged = null;
    if (event.type === "pointercancel") set(history.current, false);
    else set(joints);
  };
  svg.addEventListener("pointerup", end);
  svg.addEventListener("pointercancel", end);
}

// Shift turns the option round, as long as it is held.
const keeps = (event) => $("keep").checked !== event.shiftKey;

// ---- The keyboard.

function addKeys() {
  $("target").addEventListener("keydown", (event) => {
    const handle = event.target.closest(".joint");
    if (!handle) return;
    const index = Number(handle.dataset.joint);
    const step = STEPS[event.key];
    if (step) {
      event.preventDefault();
      const size = (state.height / 128) * (event.ctrlKey || event.metaKey ? 8 : 1);
      const goal = [joints[index][0] + step[0] * size, joints[index][1] + step[1] * size];
      set(moveJoint(joints, index, reachable(goal), keeps(event)));
      say(describe(index));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      set(hide(joints, index));
      say(`${state.joints[index]} is hidden; show it again under Joints`);
      $("target").querySelector(".joint:not([display])")?.focus({ preventScroll: true });
    }
  });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input[type=text]")) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) set(history.undo(), false);
    else if (key === "y" || (key === "z" && event.shiftKey)) set(history.redo(), false);
    else return;
    event.preventDefault();
  });
}

// ---- Buttons, poses to start from, files.

function addPresets(poses, title) {
  const group = document.createElement("optgroup");
  group.label = title;
  for (const pose of poses) {
    const option = new Option(pose.name);
    option.pose = pose;
    group.append(option);
  }
  $("presets").append(group);
}

function usePreset(pose) {
  if (pose.problem) say(`${pose.name}: ${pose.problem}`, true);
  else {
    set(pose.joints);
    say(pose.name);
  }
}

async function load(file) {
  if (file.size > state.max_file) throw new Error(`${file.name}: too large; split it`);
  const response = await ask(`load?name=${encodeURIComponent(file.name)}`, file);
  const { poses, broken } = await response.json();
  addPresets(poses, file.name);
  usePreset(poses[0]);
  const notes = [];
  if (poses.length > 1) notes.push(`${poses.length} poses, under Start from`);
  if (broken) notes.push(`${broken} entries cannot be used`);
  if (notes.length) say(`${file.name}: ${notes.join("; ")}`, Boolean(broken));
}

async function save() {
  const saving = joints;
  const response = await ask("save", poseRequest({ name: $("name").value.trim() }));
  const answer = await response.json();
  savedPose = saving;
  $("command").textContent = answer.command;
  $("csv").textContent = answer.csv;
  $("saved").hidden = false;
  $("name").value = answer.free_name;
  say(`Saved as ${answer.path}`);
}

function addButtons() {
  $("undo").addEventListener("click", () => set(history.undo(), false));
  $("redo").addEventListener("click", () => set(history.redo(), false));
  $("reset").addEventListener("click", () => set(state.start));
  $("mirror").addEventListener("click", () => set(mirror(joints, state.mirrored, state.width)));
  $("scale").addEventListener("change", generate);
  $("behind").addEventListener("change", draw);
  $("use").addEventListener("click", () => usePreset($("presets").selectedOptions[0].pose));
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => {
      navigator.clipboard.writeText($(button.dataset.copy).textContent).then(
        () => say("Copied"), () => say("The browser does not let this page copy", true));
    });
  }
  $("load").addEventListener("change", async () => {
    const [file] = $("load").files;
    if (file) await load(file).catch((error) => say(error.message, true));
    $("load").value = "";
  });
  $("save").addEventListener("submit", (event) => {
    event.preventDefault();
    save().catch((error) => say(error.message, true));
  });
  window.addEventListener("beforeunload", (event) => {
    if (JSON.stringify(joints) !== JSON.stringify(savedPose)) event.preventDefault();
  });
}

function addJointBoxes() {
  state.joints.forEach((name, index) => {
    const box = Object.assign(document.createElement("input"), { type: "checkbox", value: index });
    box.addEventListener("change", () => {
      const size = [state.width, state.height];
      set(box.checked ? show(joints, index, lastOffsets[index], size) : hide(joints, index));
    });
    const label = document.createElement("label");
    label.append(box, ` ${name}`);
    $("joints").append(label);
  });
}

async function start() {
  const response = await fetch("state");
  state = await response.json();
  document.title = `dptn pose: ${state.image}`;
  document.documentElement.style.setProperty("--aspect", `${state.width} / ${state.height}`);
  $("image-name").textContent = state.image;
  $("source").setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
  $("name").value = state.free_name;
  setProblem(state.model_problem && `Nothing can be generated, but poses can be saved: ${state.model_problem}`);
  history = new History(state.start);
  joints = state.start;
  savedPose = state.start;
  lastOffsets = offsets(state.source_pose);
  const own = { name: "the source’s pose", joints: state.source_pose };
  addPresets([own, ...state.presets], "Poses");
  addJointBoxes();
  addDragging();
  addKeys();
  addButtons();
  makeDrawings();
  set(state.start, false);
}

start().catch((error) => setProblem(`The page cannot start: ${error.message}`));
