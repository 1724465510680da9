import "./style.css";

const { VITE_API } = import.meta.env;
document.querySelector("#app").textContent = `${location.pathname} asks ${VITE_API}`;
import("./late.js").then(({ late }) => late());
