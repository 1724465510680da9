export const late = () => console.log("loaded when it is needed");
